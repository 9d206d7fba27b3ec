"""One training, from a dataset to a trained model, in this process or on Ray.

Begin with `trainer.py` (`QuantumTrainer`), then `loop/loop.py`.

    config, request, job    configuration; one training asked for; what the loop is given
    checks                  what is refused before a file is written
    hardware, hardware_calls   jobs and money of a training on paid hardware, before its first job
    rehearsal               the training on the device whose noise a training has
    fallback                backends that take over if one fails
    worker_count            one number of workers, or the fewest and the most
    elastic/                how often workers may fail; when they regroup, and how many
    loop/                   the training loop, the same in this process and in workers
    callbacks/              user code at fixed points, by name
    run/                    the run folder: checkpoints, record, lock
    telemetry/              metrics and spans of a training, for monitors
    model/                  the trained model and its file
    ray/                    workers, interrupts, watchdog
    ending, finish, report/   scores and figures; what is done at the end; report and model card
"""
