package api_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestParseSizeReadsPowersOf1024AndRoundsUp(t *testing.T) {
	tests := []struct {
		text string
		want int64
	}{
		{"20GiB", 20 << 30},
		{"20G", 20 << 30},
		{"20g", 20 << 30},
		{"20GB", 20 << 30},
		{"20 GiB", 20 << 30},
		{" 20GiB ", 20 << 30},
		{"1.5T", 3 << 39},
		{"64MiB", 64 << 20},
		{"67108864", 64 << 20},
		{"134217728.0", 128 << 20},
		{"10.0GiB", 10 << 30},
		{"67108864b", 64 << 20},
		{"67108865", 64<<20 + 1024},
		{"1048576K", 1 << 30},
		{"1024P", 1 << 60},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := api.ParseSize(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestParseSizeRefuses(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "is not a size"},
		{"GiB", "is not a size"},
		{"-20GiB", "is not a size"},
		{"+20GiB", "is not a size"},
		{"1e12", "is not a size"},
		{"0x4000000", "is not a size"},
		{"1_000_000_000", "is not a size"},
		{"inf", "is not a size"},
		{"nan", "is not a size"},
		{".5G", "is not a size"},
		{"5.G", "is not a size"},
		{"1.2.3G", "is not a size"},
		{"20  GiB", "is not a size"},
		{"20Q", "the units are"},
		{"20GiBs", "the units are"},
		{"20Gi", "the units are"},
		{"20", "a number without a unit is of bytes; write the unit, as in 20GiB"},
		{"1.5e9", "is not a size"},
		{"63MiB", "too small: the smallest size is 64MiB"},
		{"0", "too small"},
		{"67108863", "too small"},
		{"1025P", "too large"},
		{"8192P", "too large"},
		{"9999999999999P", "too large"},
		{strings.Repeat("9", 40), "too large"},
		{strings.Repeat("9", 41), "is not a size"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := api.ParseSize(tt.text)
			if err == nil {
				t.Fatalf("got %d, want an error", got)
			}
			if api.CodeOf(err) != api.CodeInvalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v (%s), want %q", err, api.CodeOf(err), tt.want)
			}
		})
	}
}

func FuzzParseSize(f *testing.F) {
	for _, seed := range []string{"20GiB", "1.5t", "-1", "1e9", "8192P", "20 g", "0x10", "9223372036854775807"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := api.ParseSize(text)
		if err != nil {
			if n != 0 || api.CodeOf(err) != api.CodeInvalid {
				t.Errorf("got %d, %v", n, err)
			}
			return
		}
		if n < api.MinSize || n%api.SizeMultiple != 0 || n > 1<<60 {
			t.Errorf("%q: got %d", text, n)
		}
	})
}
