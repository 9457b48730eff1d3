package echostr

import (
	"math"
	"strconv"
	"strings"
)

// parseInt reads an integer leniently: white space around it and a fraction
// of zeros are nothing, and what is not an integer of 64 bits is 0. R-XML-NUMBERS
func parseInt(s string) int64 {
	if s == "" || len(s) > 18 { // 18 digits cannot overflow: the usual case
		return parseOddInt(s)
	}
	var n uint64
	i := 0
	for ; i+8 <= len(s); i += 8 {
		x := load8(s, i)
		if x&(ones*0xf0) != ones*0x30 || (x+ones*6)&(ones*0xf0) != ones*0x30 {
			return parseOddInt(s)
		}
		// Eight digits at once: neighbours to pairs, pairs to fours, fours to one.
		x &= ones * 0x0f
		x = x*10 + x>>8
		x = ((x & 0x000000ff000000ff * (100 + 1000000<<32)) + (x >> 16 & 0x000000ff000000ff * (1 + 10000<<32))) >> 32
		n = n*1e8 + x
	}
	for ; i < len(s); i++ {
		digit := s[i] - '0'
		if digit > 9 {
			return parseOddInt(s)
		}
		n = n*10 + uint64(digit)
	}
	return int64(n)
}

func parseOddInt(s string) int64 {
	s = trimSpace(s)
	if whole, fraction, ok := strings.Cut(s, "."); ok && strings.Trim(fraction, "0") == "" {
		s = whole
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	// An exponent, as in 1.7e9. Beyond 2^53 a float64 is not exact.
	if f := parseFloat(s); f == math.Trunc(f) && math.Abs(f) <= 1<<53 && strings.ContainsAny(s, "eE") {
		return int64(f)
	}
	return 0
}

// parseFloat reads a decimal fraction, and 0 from anything else. R-XML-NUMBERS
func parseFloat(s string) float64 {
	s = trimSpace(s)
	for i := range len(s) { // no "NaN", "Inf", "0x1p4" or "1_000"
		if c := s[i]; (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return f
}
