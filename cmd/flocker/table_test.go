package main

import (
	"strings"
	"testing"
)

func TestTableFitsItsTerminal(t *testing.T) {
	var tbl table
	tbl.head = []string{"NAME", "STATUS", "NODE"}
	tbl.add("orders-db.data-of-last-year", "waiting", "node1.example.net")
	tbl.add("größe", "mounted", "n2")
	tests := map[int]string{
		0: "NAME                          STATUS    NODE\n" +
			"orders-db.data-of-last-year   waiting   node1.example.net\n" +
			"größe                         mounted   n2\n",
		40: "NAME            STATUS    NODE\n" +
			"orders-db.da…   waiting   node1.example…\n" +
			"größe           mounted   n2\n",
		10: "NAME       STATUS    NODE\n" +
			"orders-…   waiting   node1.e…\n" +
			"größe      mounted   n2\n",
	}
	for width, want := range tests {
		var out strings.Builder
		tbl.print(&out, width)
		if out.String() != want {
			t.Errorf("width %d: got\n%swant\n%s", width, out.String(), want)
		}
	}
}
