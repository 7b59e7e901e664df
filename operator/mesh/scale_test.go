package mesh

import (
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestScale(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		weights []uint64
		want    []uint32
	}{
		"nothing":                    {nil, []uint32{}},
		"small weights stay":         {[]uint64{0, 1, 99}, []uint32{0, 1, 99}},
		"the largest sum stays":      {[]uint64{math.MaxUint32 - 1, 1}, []uint32{math.MaxUint32 - 1, 1}},
		"one more does not":          {[]uint64{math.MaxUint32, 1}, []uint32{math.MaxUint32 - 3, 1}},
		"a small share stays one":    {[]uint64{math.MaxUint64, 1, 0}, []uint32{math.MaxUint32 - 3, 1, 0}},
		"a sum that overflows twice": {[]uint64{math.MaxUint64, math.MaxUint64, math.MaxUint64}, []uint32{1431655764, 1431655764, 1431655764}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, Scale(tc.weights)); diff != "" {
				t.Errorf("weights (-want +got):\n%s", diff)
			}
		})
	}
}

// Shares are weight by sum, so a constant factor makes no difference, however
// large: not for the sum that Envoy takes, and not for what is 0.
func TestWeightsTimesAConstant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Uint64Range(0, 1<<32), 1, 64).Draw(t, "weights")
		factor := rapid.Uint64Range(1, 1<<31).Draw(t, "factor")
		times := make([]uint64, len(weights))
		for i, w := range weights {
			times[i] = w * factor
		}
		checkScale(t, weights)
		checkScale(t, times)
		x, y := shares(Scale(weights)), shares(Scale(times))
		for i := range x {
			if math.Abs(x[i]-y[i]) > 1e-6 || (x[i] == 0) != (y[i] == 0) {
				t.Errorf("share %d is %g, and %g when all weights are multiplied by %d", i, x[i], y[i], factor)
			}
		}
	})
}

func FuzzScale(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint64(3))
	f.Add(uint64(math.MaxUint64), uint64(math.MaxUint64), uint64(1))
	f.Add(uint64(math.MaxUint32), uint64(0), uint64(1))
	f.Fuzz(func(t *testing.T, a, b, c uint64) { checkScale(t, []uint64{a, b, c}) })
}

func checkScale(t rapid.TB, weights []uint64) {
	t.Helper()
	got := Scale(weights)
	sum, total := new(big.Int), uint64(0)
	for i, w := range weights {
		sum.Add(sum, new(big.Int).SetUint64(w))
		total += uint64(got[i])
	}
	if total > math.MaxUint32 {
		t.Fatalf("%d add up to %d", got, total)
	}
	for i, share := range shares(got) {
		if (weights[i] == 0) != (got[i] == 0) {
			t.Fatalf("weight %d became %d", weights[i], got[i])
		}
		if sum.Sign() == 0 {
			continue
		}
		want, _ := new(big.Rat).SetFrac(new(big.Int).SetUint64(weights[i]), sum).Float64()
		if math.Abs(share-want) > 1e-6 {
			t.Fatalf("share %d of %d is %g, want %g", i, weights, share, want)
		}
	}
}

func shares(weights []uint32) []float64 {
	var sum float64
	for _, w := range weights {
		sum += float64(w)
	}
	out := make([]float64, len(weights))
	for i, w := range weights {
		if sum > 0 {
			out[i] = float64(w) / sum
		}
	}
	return out
}
