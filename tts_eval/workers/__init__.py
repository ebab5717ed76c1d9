"""Work that is done by other processes, on this machine or on others; what it is about is not known here.

    resources.py   how many workers of each group, and what each of them takes
    cluster.py     the way to Ray: started here, or found at an address
    crew.py        workers in groups, fed a bounded number of tasks; they are replaced when they die
    teams.py       those of them that share a node
    identity.py    which code a process runs: workers and driver have to run the same
    task.py        what is done with a task whose worker died: once more, then in halves, then without it
    timeline.py    what each worker did when
    worker.py      one worker: an object that was named, and whatever it raised on purpose

Ray's actors were chosen over Ray Data because every item has a key, a time limit and a fate of its own here:
which batch is tried again, and in which halves, is decided item by item. `ray` is imported when it is used.
"""
