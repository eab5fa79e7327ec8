package main

// version is set by the linker; make build takes it from git. The doctor
// compares it with that of flocker-isolator, which is built beside this.
var version = "dev"
