//! The real gafferd with real children, real signals and real sockets. Few tests, each with its own
//! folder and port 0; nothing here waits for time to pass, only for conditions, with a deadline.
