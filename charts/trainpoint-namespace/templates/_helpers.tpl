{{- define "trainpoint-namespace.labels" -}}
app.kubernetes.io/name: trainpoint-namespace
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "trainpoint-namespace.kept" -}}
{{- if .Values.keepStores -}}
annotations:
  helm.sh/resource-policy: keep
{{- end -}}
{{- end -}}

{{- /* The Secret with which the operator reaches a store; empty where it has none. Input: name, store. */ -}}
{{- define "trainpoint-namespace.secret" -}}
{{- with .store.credentials -}}
{{- .existingSecret | default (printf "trainpoint-store-%s" $.name) -}}
{{- end -}}
{{- end -}}

{{- /* "true" where the pods write with the Secret trainpoint-writer. */ -}}
{{- define "trainpoint-namespace.writer" -}}
{{- with .Values.writerCredentials }}{{ if or .existingSecret .accessKeyId }}true{{ end }}{{ end -}}
{{- end -}}
