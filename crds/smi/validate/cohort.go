package validate

import (
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// token is what names of headers and cookies are made of (RFC 9110, 5.6.2).
var token = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// Cohort is what tells users apart: a header or a cookie. The zero value is nothing.
type Cohort struct{ Header, Cookie string }

// CohortOf reads the annotation of a split. One that can't be read is none.
func CohortOf(split *splitv1alpha4.TrafficSplit) Cohort {
	c, _ := readCohort(split.Annotations[heddlev1alpha1.AnnotationCohort])
	return c
}

func readCohort(text string) (Cohort, bool) {
	kind, name, _ := strings.Cut(text, ":")
	switch usable := token.MatchString(name); {
	case text == "":
		return Cohort{}, true
	case kind == "header" && usable:
		return Cohort{Header: strings.ToLower(name)}, true
	case kind == "cookie" && usable: // the names of both are tokens (RFC 6265, 4.1.1)
		return Cohort{Cookie: name}, true
	}
	return Cohort{}, false
}

func (r *Result) cohort(split *splitv1alpha4.TrafficSplit) {
	text := split.Annotations[heddlev1alpha1.AnnotationCohort]
	if _, ok := readCohort(text); !ok {
		r.refusef(field.NewPath("metadata", "annotations").Key(heddlev1alpha1.AnnotationCohort), text, heddlev1alpha1.ReasonInvalid,
			"%s tells nobody apart, and requests are shared one by one; use header:NAME or cookie:NAME", quoted(text))
	}
}
