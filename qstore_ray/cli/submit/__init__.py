"""`qstore submit`: run a job file as a job of a Ray cluster.

command     the command: what is typed and what is printed
attempts    one submission of a name: wait for it, resume it, never repeat it
head        the address, the token, and the errors of a cluster's job server
readable    the logs of a job, on a terminal as text
package     the files that go with a job
"""
