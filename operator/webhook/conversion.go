package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/go-logr/logr"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubejson "k8s.io/apimachinery/pkg/util/json"

	"github.com/heddle-mesh/heddle/crds/smi/convert"
)

// ConversionPath is where the CRDs expect the conversion endpoint.
const ConversionPath = "/convert"

// maxReview bounds a request. The API server sends a whole list in one; what
// is larger has to be listed in pages.
const maxReview = 32 << 20

// Conversion answers ConversionReviews of apiextensions.k8s.io/v1. All objects
// of a review are converted, or it fails as a whole with the first reason.
type Conversion struct {
	Log logr.Logger
}

// review is a ConversionReview of which the objects are not decoded yet.
type review struct {
	metav1.TypeMeta `json:",inline"`
	Request         *request                            `json:"request,omitempty"`
	Response        *apiextensionsv1.ConversionResponse `json:"response,omitempty"`
}

type request struct {
	UID               types.UID         `json:"uid"`
	DesiredAPIVersion string            `json:"desiredAPIVersion"`
	Objects           []json.RawMessage `json:"objects"`
}

// ServeHTTP implements http.Handler.
func (c Conversion) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReview))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		http.Error(w, "the review is too large; list fewer objects at a time", http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "the request could not be read", http.StatusBadRequest)
		return
	}
	var asked review
	if err := json.Unmarshal(raw, &asked); err != nil {
		http.Error(w, "the body is no ConversionReview", http.StatusBadRequest)
		return
	}
	if asked.Request == nil || asked.Kind != "ConversionReview" || asked.APIVersion != apiextensionsv1.SchemeGroupVersion.String() {
		http.Error(w, "the body is no request of "+apiextensionsv1.SchemeGroupVersion.String(), http.StatusBadRequest)
		return
	}
	answer, err := json.Marshal(review{TypeMeta: asked.TypeMeta, Response: c.answer(asked.Request)})
	if err != nil {
		http.Error(w, "the answer could not be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(answer); err != nil {
		c.Log.V(1).Info("the API server did not wait for a conversion", "reason", err.Error())
	}
}

func (c Conversion) answer(asked *request) *apiextensionsv1.ConversionResponse {
	response := &apiextensionsv1.ConversionResponse{UID: asked.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}
	converted := make([]runtime.RawExtension, 0, len(asked.Objects))
	for _, raw := range asked.Objects {
		object, err := convertOne(raw, asked.DesiredAPIVersion)
		if err != nil {
			c.Log.Error(err, "an object can't be converted", "to", asked.DesiredAPIVersion)
			response.Result = metav1.Status{Status: metav1.StatusFailure, Message: err.Error()}
			return response
		}
		converted = append(converted, runtime.RawExtension{Raw: object})
	}
	response.ConvertedObjects = converted
	return response
}

func convertOne(raw json.RawMessage, apiVersion string) (json.RawMessage, error) {
	var object map[string]any
	if err := kubejson.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	converted, err := convert.Convert(object, apiVersion)
	if err != nil {
		metadata, _ := object["metadata"].(map[string]any)
		return nil, fmt.Errorf("%v %v/%v: %w", object["kind"], metadata["namespace"], metadata["name"], err)
	}
	out, err := json.Marshal(converted)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return out, nil
}
