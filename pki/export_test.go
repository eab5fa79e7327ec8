package pki

// LoadAt is LoadFiles with a clock.
var LoadAt = load
