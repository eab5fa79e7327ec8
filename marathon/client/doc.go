// Package client speaks with Marathon: its REST API, as far as volumes are
// concerned, and its stream of events. It goes from one Marathon to the next, and
// knows where its credentials may go.
//
// # Where credentials go
//
// They go to the hosts of the URLs that were given, and to one other: the leader,
// when one of these hosts redirects the stream of events there. Whoever answers
// as such a host has been sent the credentials already, and a Marathon that is
// not the leader hands them on to the leader with every request that it proxies.
// So that trusts nobody further, within three bounds: the redirect is to
// /v2/events and to nothing else, it is followed once and not from there on, and
// never from https to http. Other redirects are errors. The header
// X-Marathon-Leader is shown to people and moves nothing.
package client
