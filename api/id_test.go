package api_test

import (
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

const anID = "0d7a3c1e-58f4-4b6d-9f0a-3f1c2b4d5e6f"

func TestParseIDReadsEverySpelling(t *testing.T) {
	for text, want := range map[string]string{
		anID:                                   anID,
		"0D7A3C1E-58F4-4B6D-9F0A-3F1C2B4D5E6F": anID,
		"0d7a3c1e58f44b6d9f0a3f1c2b4d5e6f":     anID,
		"0D7A3C1E58F44B6D9F0A3F1C2B4D5E6F":     anID,
		"{" + anID + "}":                       anID,
		"urn:uuid:" + anID:                     anID,
		"":                                     "",
		"0d7a3c1e":                             "",
		"orders-db":                            "",
		anID + "0":                             "",
		"g" + anID[1:]:                         "",
		"0d7a3c1e58-f4-4b6d-9f0a-3f1c2b4d5e6f": "",
		"pvc-" + anID:                          "",
		"{" + anID:                             "",
	} {
		if got, ok := api.ParseID(text); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", text, got, ok, want)
		}
	}
	for _, text := range api.Spellings(anID) {
		if got, _ := api.ParseID(text); got != anID {
			t.Errorf("%q: got %q, want %q", text, got, anID)
		}
	}
}

func TestParseIDPrefixReadsBeginnings(t *testing.T) {
	for text, want := range map[string]string{
		"0":                   "0",
		"0D7A3C1E":            "0d7a3c1e",
		"0d7a3c1e-":           "0d7a3c1e-",
		"0d7a3c1e-58":         "0d7a3c1e-58",
		"0d7a3c1e58F4":        "0d7a3c1e-58f4",
		"0d7a3c1e58f44":       "0d7a3c1e-58f4-4",
		anID:                  anID,
		anID[:35]:             anID[:35],
		"0d7a3c1e58f44b6d9f0": "0d7a3c1e-58f4-4b6d-9f0",
		"":                    "",
		"db":                  "db",
		"queue":               "",
		"0d7a3c1g":            "",
		anID + "0":            "",
	} {
		if got, ok := api.ParseIDPrefix(text); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", text, got, ok, want)
		}
	}
}
