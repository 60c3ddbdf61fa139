"Toy models gain nothing from many threads, and the workers of pytest share the cores."
import os
os.environ.setdefault('OMP_NUM_THREADS', '1')
