//! Floor 3: connections without sockets: byte machines that turn what arrived into requests and owe bytes.
