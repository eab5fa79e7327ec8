package pki

// LoadAt is Load with a clock.
var LoadAt = load
