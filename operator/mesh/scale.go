package mesh

import (
	"math"
	"math/bits"
)

// Scale brings weights down until their sum fits Envoy's limit of 2^32-1.
// Shares keep their proportion; one that is not zero does not become zero.
func Scale(weights []uint64) []uint32 {
	var sum, carry uint64
	for _, w := range weights {
		var c uint64
		sum, c = bits.Add64(sum, w, 0)
		carry += c
	}
	out := make([]uint32, len(weights))
	if carry == 0 && sum <= math.MaxUint32 {
		for i, w := range weights {
			out[i] = uint32(w)
		}
		return out
	}
	total := float64(sum) + float64(carry)*math.Pow(2, 64)
	// Room is left for every share that is rounded up.
	room := float64(math.MaxUint32 - len(weights))
	for i, w := range weights {
		if w > 0 {
			out[i] = max(1, uint32(float64(w)/total*room))
		}
	}
	return out
}
