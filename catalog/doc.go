// Package catalog keeps the replicas of the control service in Consul's
// catalogue of services, and finds them there.
//
// A replica is one instance of one service, whatever else the cluster is called:
// its address and port are those for users, as Consul's DNS tells them too, and
// its meta value "agents" has HOST:PORT for agents. One entry with one check
// cannot be half true, as two services could be.
package catalog
