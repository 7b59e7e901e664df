package convert

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is what there is to know about the versions of one kind.
type kind struct {
	// resource is its name in the plural.
	resource string
	// newest is the dialect of the stored version, older are the others.
	newest *dialect
	older  []*dialect
	// versions by their names.
	versions map[string]version
}

// version is one version of a kind. A nil dialect is the newest.
type version struct {
	layout  layout
	dialect *dialect
}

var kinds = map[schema.GroupKind]kind{
	{Group: "access.smi-spec.io", Kind: "TrafficTarget"}: targets,
	{Group: "specs.smi-spec.io", Kind: "HTTPRouteGroup"}: groups,
	{Group: "specs.smi-spec.io", Kind: "TCPRoute"}:       routes,
	{Group: "split.smi-spec.io", Kind: "TrafficSplit"}:   splits,
}

// Definitions returns the names of the CustomResourceDefinitions whose objects
// Convert converts; sorted.
func Definitions() []string {
	var out []string
	for k, known := range kinds {
		out = append(out, known.resource+"."+k.Group)
	}
	slices.Sort(out)
	return out
}

// Convert returns the object in another version of its kind. What it returns
// shares parts with what it was given, which is left as it was.
//
// An error means that the object is none that an API server with Heddle's
// schemas lets in, or that a kind or version is not known.
func Convert(object map[string]any, apiVersion string) (map[string]any, error) {
	from, to, k, err := versionsOf(object, apiVersion)
	if err != nil {
		return nil, err
	}
	metadata, notes, err := annotationsOf(object)
	if err != nil {
		return nil, err
	}
	b, err := from.layout.take(object)
	if err != nil {
		return nil, err
	}
	if from.dialect != to.dialect {
		newest := b
		if from.dialect != nil {
			if newest, err = k.rise(from.dialect, b, notes); err != nil {
				return nil, err
			}
		}
		b = newest
		if to.dialect != nil {
			b = k.descend(to.dialect, newest, notes)
		}
	}
	out := from.layout.without(object)
	out["apiVersion"] = apiVersion
	if metadata = annotated(metadata, notes); metadata != nil {
		out["metadata"] = metadata
	}
	to.layout.put(out, b)
	return out, nil
}

func versionsOf(object map[string]any, apiVersion string) (from, to version, k kind, err error) {
	name, _ := object["kind"].(string)
	has, _ := object["apiVersion"].(string)
	hasVersion, err := schema.ParseGroupVersion(has)
	if err != nil {
		return from, to, k, fmt.Errorf("apiVersion %q: %w", has, err)
	}
	wanted, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return from, to, k, fmt.Errorf("desired version %q: %w", apiVersion, err)
	}
	if wanted.Group != hasVersion.Group {
		return from, to, k, fmt.Errorf("%s of %s can't become one of %s", name, has, apiVersion)
	}
	k, ok := kinds[schema.GroupKind{Group: wanted.Group, Kind: name}]
	if !ok {
		return from, to, k, fmt.Errorf("there is no conversion of kind %q of group %q", name, wanted.Group)
	}
	if from, ok = k.versions[hasVersion.Version]; !ok {
		return from, to, k, fmt.Errorf("%s has no version %q", name, hasVersion.Version)
	}
	if to, ok = k.versions[wanted.Version]; !ok {
		return from, to, k, fmt.Errorf("%s has no version %q", name, wanted.Version)
	}
	return from, to, k, nil
}

// annotationsOf returns the object's metadata, which may be nil, and a copy of
// its annotations.
func annotationsOf(object map[string]any) (metadata map[string]any, notes annotations, err error) {
	metadata, ok := object["metadata"].(map[string]any)
	if !ok && object["metadata"] != nil {
		return nil, nil, fmt.Errorf("metadata is %T, not an object", object["metadata"])
	}
	written, ok := metadata["annotations"].(map[string]any)
	if !ok && metadata["annotations"] != nil {
		return nil, nil, fmt.Errorf("metadata.annotations is %T, not an object", metadata["annotations"])
	}
	notes = maps.Clone(written)
	if notes == nil {
		notes = annotations{}
	}
	return metadata, notes, nil
}

// annotated returns the metadata with other annotations.
func annotated(metadata map[string]any, notes annotations) map[string]any {
	if len(notes) == 0 && metadata["annotations"] == nil {
		return metadata
	}
	out := maps.Clone(metadata)
	if out == nil {
		out = map[string]any{}
	}
	delete(out, "annotations")
	if len(notes) > 0 {
		out["annotations"] = map[string]any(notes)
	}
	return out
}
