// This file lets segments.go declare functions without a body.
