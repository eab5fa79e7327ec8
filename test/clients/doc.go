// Package clients lets clients that others wrote, and that know nothing of us,
// use a whole cluster on real loop devices: the Go client that Kubernetes had in
// it, as Debian still ships it, and curl.
package clients
