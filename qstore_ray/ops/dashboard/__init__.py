"""The page of `qstore dashboard`: runs, searches, the cluster, paid jobs, and live curves.

    server.py      the routes, and the server
    access.py      who may ask: the token, its cookie, the addressed host; headers of every answer
    answers.py     JSON that any content of a run folder can become, and ids of runs in addresses
    listing.py     the runs of a storage folder, read again only if they changed
    board.py       what every reader of the page is shown, kept up to date while there is one
    live.py        server-sent events: the board, and new epochs of the runs that are looked at
    run_facts.py   everything about one run, and its files
    panels/        alerts, searches, the cluster, hardware
    page/          HTML, CSS and JavaScript, as they are served; no build step

It reads only. Nothing is looked at while no page is open.
"""
