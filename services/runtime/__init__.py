"""What all services share: the I/O loop, the queue of rows, the compute thread, the process."""
