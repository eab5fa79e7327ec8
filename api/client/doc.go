// Package client calls the control service: Client for users, over the REST
// API, and Agent for the agents of nodes. Every failure that the control
// service has put into words is an *api.Error with the code that it has there;
// other errors mean that there was no answer.
//
// Both take several endpoints, replicas of one control service. The one that
// answered last is asked first; when it does not, the next is.
package client
