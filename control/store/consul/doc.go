// Package consul keeps the log in Consul's key-value store, for any number of
// replicas of the control service.
//
// Below a prefix there are
//
//	PREFIX/head          the revision, how many records there are, a sum over all of
//	                     them, and what the last commits touched
//	PREFIX/commits/000   the last 256 commits, each under its revision modulo 256: the
//	                     batch's ID and the keys that it touched
//	PREFIX/records/KEY   the records, as they were given
//	PREFIX/restore       which restore is under way; then there is no head
//
// and beside it PREFIX-begun (of the prefix's first part), which says that there
// is a log, so that one whose keys were removed is never taken for a new one.
//
// A commit is one transaction: it compares and sets head, and with it sets one
// of the commits and the records. So all commits have one order, and each costs
// the same however much was committed before. A replica waits by one blocking
// query on head and then reads the keys that head names, in a transaction that
// reads head too, so what it has is all as of one revision.
//
// What is in Consul is compared with the number and the sum in head whenever it
// is read: records that somebody removed, or changed by other means, or may not
// be read with our token, are noticed and not acted on.
//
// The policy of a token for the prefix "flocker" is
//
//	key_prefix "flocker/" { policy = "write" }
//	key "flocker-begun" { policy = "write" }
//
// It needs Consul 1.14 or newer, for transactions that read what may not exist.
package consul
