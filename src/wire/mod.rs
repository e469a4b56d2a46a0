//! Floor 1: bytes to messages and back. No sockets, no clock, no state of the node.
