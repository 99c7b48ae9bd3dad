"""asapnb on threads of one process, as a contender of `race.py`: what the workers would do without MPI."""

import time

from racing import problem_of, read_task, run

# isort: split
from peer_asapnb import Asapnb  # of the benchmarks, which `racing` makes known

if __name__ == "__main__":
    started, task = time.perf_counter(), read_task()
    problem = problem_of(task)
    run(Asapnb(problem, task["batch"], task["step_size"], "lock-based"), problem, task, started)
