"Toy models gain nothing from many threads, and two processes with all of them each are many times slower than one."
import os
os.environ.setdefault('OMP_NUM_THREADS', '2')
