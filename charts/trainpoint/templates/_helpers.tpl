{{- define "trainpoint.name" -}}
{{- if contains "trainpoint" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-trainpoint{{ end -}}
{{- end -}}

{{- define "trainpoint.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "trainpoint.name" .) -}}
{{- end -}}

{{- /* These never change: a Deployment's selector cannot. */ -}}
{{- define "trainpoint.selector" -}}
app.kubernetes.io/name: trainpoint
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "trainpoint.labels" -}}
{{ include "trainpoint.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "trainpoint.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{- /* Subjects of the operator's bindings. */ -}}
{{- define "trainpoint.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "trainpoint.serviceAccount" . | quote }}
    namespace: {{ .Release.Namespace | quote }}
{{- end -}}

{{- /* The version in which the server has MutatingAdmissionPolicy; empty where it has none. */ -}}
{{- define "trainpoint.mutation" -}}
{{- if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
admissionregistration.k8s.io/v1
{{- else if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy" -}}
admissionregistration.k8s.io/v1beta1
{{- end -}}
{{- end -}}

{{- /* Which namespaces a policy is for that looks at more than our own kinds: those that the operator works for. */ -}}
{{- define "trainpoint.watched" -}}
{{- with .Values.watchNamespaces -}}
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: In
      values: {{ toJson . }}
{{- end -}}
{{- end -}}
