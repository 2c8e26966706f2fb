package packets

// MaxQueued is the greatest number of packets that wait for a reader.
const MaxQueued = maxQueued
