package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AlertProvider is where canaries of its namespace tell people what happens.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=alertproviders,singular=alertprovider,shortName=hap,categories={heddle,mesh}
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Channel",type=string,JSONPath=`.spec.channel`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AlertProvider struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is where and as whom.
	// +required
	Spec AlertProviderSpec `json:"spec"`
}

// AlertProviderSpec is where and as whom.
//
// +kubebuilder:validation:XValidation:rule="has(self.address) != has(self.secretRef)",message="give address, or a secretRef that has it"
type AlertProviderSpec struct {
	// Type of the service; msteams are workflows of Teams, generic gets a flat
	// object in JSON.
	// +required
	// +kubebuilder:validation:Enum=slack;rocket;discord;msteams;gchat;generic
	Type string `json:"type"`
	// Channel to speak in, where the service lets one choose.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Channel string `json:"channel,omitempty"`
	// Username to speak as, where the service lets one choose.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Username string `json:"username,omitempty"`
	// Address of the incoming webhook.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^https?://[^/@?#]+[^@#]*$`
	Address string `json:"address,omitempty"`
	// SecretRef names a Secret whose key address has the address. The operator
	// must have been allowed to read it.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
}

// CanaryAlert is who is told of what.
type CanaryAlert struct {
	// Name tells the alert from others.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// Severity from which on: info tells of beginnings, waits and good ends too,
	// warn of failed checks too, error of rollbacks only.
	// +optional
	// +kubebuilder:default=info
	// +kubebuilder:validation:Enum=info;warn;error
	Severity string `json:"severity,omitempty"`
	// ProviderRef names the AlertProvider, in the namespace of the Canary.
	// +required
	ProviderRef LocalReference `json:"providerRef"`
}

// AlertProviderList is a list of AlertProviders.
//
// +kubebuilder:object:root=true
type AlertProviderList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AlertProvider `json:"items"`
}
