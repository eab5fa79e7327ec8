// Package csi holds a real agent against the test suite of the CSI specification
// itself, kubernetes-csi/csi-test.
package csi
