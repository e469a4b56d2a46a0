//! Floor 0: the only unsafe code: what gaffer asks of the kernel.
