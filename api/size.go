package api

import (
	"strings"

	"github.com/docker/go-units"
)

// maxSize is the largest size that can be asked for, 1 EiB in bytes, which is
// also ext4's limit. Beyond it go-units' conversion from float64 overflows to
// a value that depends on the processor, and every such value fails the check.
const maxSize = 1 << 60

// ParseSize returns the bytes that text asks for: a number of bytes, or one
// with a unit in powers of 1024, as in 20GiB, 20G or 1.5t. The result is
// rounded up to a multiple of SizeMultiple. An error is an *Error without a
// field.
func ParseSize(text string) (int64, error) {
	text = strings.TrimSpace(text)
	if !looksLikeSize(text) {
		return 0, Errorf(CodeInvalid, "%q is not a size: write a number with a unit, such as 20GiB or 500MiB", text)
	}
	n, err := units.RAMInBytes(text)
	if err != nil {
		return 0, Errorf(CodeInvalid, "%q is not a size: the units are KiB, MiB, GiB, TiB and PiB, as in 20GiB", text)
	}
	if n < 0 || n > maxSize {
		return 0, Errorf(CodeInvalid, "%q is too large: the largest size is %s", text, FormatSize(maxSize))
	}
	if n < MinSize {
		return 0, Errorf(CodeInvalid, "%q is too small: the smallest size is %s", text, FormatSize(MinSize))
	}
	return (n + SizeMultiple - 1) / SizeMultiple * SizeMultiple, nil
}

// FormatSize returns bytes as people read them, such as 20GiB.
func FormatSize(bytes int64) string { return units.BytesSize(float64(bytes)) }

// looksLikeSize reports whether text is digits with at most one point, then
// letters: go-units alone would also take exponents, hexadecimal and Inf.
func looksLikeSize(text string) bool {
	number := strings.TrimRightFunc(text, isLetter)
	number = strings.TrimSuffix(number, " ")
	if number == "" || len(text) > 40 || !isDigit(number[0]) || !isDigit(number[len(number)-1]) {
		return false
	}
	points := 0
	for i := range len(number) {
		switch {
		case number[i] == '.':
			points++
		case !isDigit(number[i]):
			return false
		}
	}
	return points <= 1
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
