package api

import (
	"strconv"
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
	if n < MinSize && isDigit(text[len(text)-1]) {
		return 0, Errorf(CodeInvalid, "%q is too small: the smallest size is %s, and a number without a unit is of bytes; write the unit, as in %sGiB",
			text, FormatSize(MinSize), text)
	}
	if n < MinSize {
		return 0, Errorf(CodeInvalid, "%q is too small: the smallest size is %s", text, FormatSize(MinSize))
	}
	return (n + SizeMultiple - 1) / SizeMultiple * SizeMultiple, nil
}

// maxBareGiB is the largest number without a unit that is taken for GiB: DefaultMaxSize.
// A larger one was meant in bytes.
const maxBareGiB = DefaultMaxSize >> 30

// gibibytes returns a size as ParseSize takes it from a form in which a number without a
// unit is of GiB: the options of REX-Ray and dvdcli, and what Marathon makes of its
// external volumes.
func gibibytes(text string) (string, error) {
	text = strings.TrimSpace(text)
	if !looksLikeSize(text) || !isDigit(text[len(text)-1]) {
		return text, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err == nil && n <= maxBareGiB {
		return text + "GiB", nil
	}
	remedy := "write the unit, as in " + text + "GiB"
	if bytes, err := ParseSize(text); err == nil {
		remedy = "if bytes are meant, write " + FormatSize(bytes) + ", else write the unit, as in " + text + "GiB"
	}
	return "", Errorf(CodeInvalid, "%q has no unit and would be of GiB, more than %s: %s", text, FormatSize(DefaultMaxSize), remedy)
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
