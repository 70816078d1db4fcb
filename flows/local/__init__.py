"""A Prefect of this checkout's own: ``make up`` starts it, ``make down`` ends it, ``make status`` looks at it.

Up: a server and a process worker in the background, bound to loopback, with home, database and logs in
``.prefect-local``, and the deployments of ``prefect.yaml``. ``prefect.toml`` tells the prefect commands typed in this
folder where the server is and how to sign in; nobody else's profile, home or variables are read or written.

Down: whatever carries the mark of this folder is ended (:mod:`flows.local.marked`) and nothing else; history and
artifacts stay. Whoever can start runs can run commands as the user who started the worker, so the server wants a
password: loopback is open to everybody on the machine.
"""
