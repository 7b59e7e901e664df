package validate

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

func cohort(text string) *splitv1alpha4.TrafficSplit {
	return &splitv1alpha4.TrafficSplit{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"heddle.dev/cohort": text}},
		Spec:       splitv1alpha4.TrafficSplitSpec{Service: "web", Backends: []splitv1alpha4.TrafficSplitBackend{{Service: "v1", Weight: 1}}},
	}
}

func TestCohorts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Cohort{
		"": {}, "header:X-User": {Header: "x-user"}, "cookie:Session": {Cookie: "Session"},
	} {
		if got := CohortOf(cohort(text)); got != want {
			t.Errorf("%q: %+v", text, got)
		}
		if r := TrafficSplit(cohort(text)); len(r.Errors) > 0 {
			t.Errorf("%q: %v", text, r.Errors)
		}
	}
	for _, text := range []string{"x-user", "header:", "header::path", "cookie:a b", "ip:", "Header:x"} {
		if got := CohortOf(cohort(text)); got != (Cohort{}) {
			t.Errorf("%q: %+v", text, got)
		}
		r := TrafficSplit(cohort(text))
		if len(r.Errors) != 1 || r.Errors[0].Field != "metadata.annotations[heddle.dev/cohort]" || !strings.Contains(r.Errors[0].Message, "use header:NAME or cookie:NAME") {
			t.Errorf("%q: %v", text, r.Errors)
		}
	}
}

func FuzzCohort(f *testing.F) {
	f.Add("header:x-user")
	f.Add("cookie:")
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := readCohort(text)
		if c.Header != "" && c.Cookie != "" || !ok && c != (Cohort{}) {
			t.Errorf("%+v, %t", c, ok)
		}
	})
}
