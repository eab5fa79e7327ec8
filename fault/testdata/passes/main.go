// Passes goes by two points and shows what it sees.
package main

import (
	"fmt"
	"time"

	"github.com/flocker-mesos/flocker/fault"
)

func main() {
	begin := time.Now()
	fault.Point("one")
	if time.Since(begin) >= 100*time.Millisecond {
		fmt.Println("one was slow")
	}
	fault.Point("two")
	fmt.Println("errors are", fault.Err("one"), fault.Err("two"))
	now := time.Now()
	fmt.Println("ahead:", fault.Now().After(now.Add(time.Hour)), "behind:", fault.Now().Before(now.Add(-time.Hour)))
}
