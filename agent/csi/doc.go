// Package csi is the front door for those who speak the Container Storage
// Interface, v1: the volume/csi isolator of Mesos, above all, and the nodes of
// Nomad and Kubernetes. It is a node plugin without a controller. Nothing has
// to be created or attached beforehand: staging a volume finds or creates its
// dataset and brings it to this node, and publishing it binds it where the
// container will look for it.
//
// A volume's id is its dataset's name. All who have it on this node are one
// consumer, since the calls do not say for which container they are; Mesos
// stages and publishes a volume again, with the same paths, for every further
// container, and takes it down once, with the last.
package csi
