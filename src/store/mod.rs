//! Tables with a fixed set of keys in the host's shared data, and the lease that elects one leader.
