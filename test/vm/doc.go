// Package vm boots real machines in QEMU: a Debian kernel, an initramfs that
// is built here, and disks. A machine may panic, hang or lose its power without
// harm to the one that runs the tests. The processor is emulated in software,
// so a boot takes some seconds.
package vm
