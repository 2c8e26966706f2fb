// This file lets segments.go declare functions without a body. Those are in gVisor.
