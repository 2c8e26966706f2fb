package commands

import "fmt"

// thousands writes a number as 1,234,567.
func thousands[T ~int64 | ~uint64](n T) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
