// Package sim plays the agents of many nodes to a control service, over the
// real protocol and each with a certificate of its own. They move nothing:
// what a control service wants is reported as done at once. So what is left to
// measure is the control service.
package sim
