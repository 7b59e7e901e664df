package e2e

import (
	"testing"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

// shop is a shop that is asked for more than its traffic.
type shop struct{ *shoptest.Shop }

func newShop(t *testing.T) *shop {
	t.Helper()
	return &shop{shoptest.New(t)}
}

func shopOf(t *testing.T, namespace string) *shop {
	t.Helper()
	return &shop{&shoptest.Shop{T: t, Namespace: namespace}}
}
