{{- define "training-job.name" -}}
{{- if .Values.nameSuffix }}{{ .Release.Name }}-{{ .Values.nameSuffix }}{{ else }}{{ .Release.Name }}{{ end -}}
{{- end -}}

{{- /* "true" where a container is started again in its pod by rules; else empty. */ -}}
{{- define "training-job.inPlace" -}}
{{- if eq .Values.restartPolicy "Never" -}}
{{- if kindIs "bool" .Values.retry.inPlace -}}
{{- if .Values.retry.inPlace }}true{{ end -}}
{{- else if semverCompare ">=1.35.0-0" .Capabilities.KubeVersion.Version }}true{{ end -}}
{{- end -}}
{{- end -}}

{{- /* "true" where each index is tried again, and fails, by itself; else empty. */ -}}
{{- define "training-job.perIndex" -}}
{{- if and .Values.indexed (eq .Values.completionIndex "Task") (eq .Values.restartPolicy "Never") }}true{{ end -}}
{{- end -}}

{{- define "training-job.identity" -}}
{{- $v := .Values -}}
{{- include "trainpoint-lib.labels" (dict "workflow" ($v.workflow | default .Release.Name) "run" $v.run "task" $v.task "policy" $v.policy "loadPolicy" $v.loadPolicy "completionIndex" $v.completionIndex) -}}
{{- end -}}

{{- /* Without the chart's version: a newer chart alone must not change the pod template. */ -}}
{{- define "training-job.selectable" -}}
app.kubernetes.io/name: training-job
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{ include "training-job.identity" . }}
{{- end -}}

{{- /* What Kubernetes lets nobody change in a Job that is there. */ -}}
{{- define "training-job.immutable" -}}
{{- if .Values.indexed }}
completionMode: Indexed
{{- end }}
completions: {{ .Values.completions | int64 }}
{{- if eq .Values.restartPolicy "Never" }}
{{- if include "training-job.perIndex" . }}
backoffLimitPerIndex: {{ .Values.retry.backoffLimit | int64 }}
{{- end }}
podFailurePolicy:
  {{- include "trainpoint-lib.podFailurePolicy" (dict "container" "main" "fatalExitCodes" .Values.retry.fatalExitCodes "perIndex" (include "training-job.perIndex" . | not | not)) | nindent 2 }}
{{- end }}
template:
  metadata:
    labels:
      {{- include "training-job.selectable" . | nindent 6 }}
      {{- with .Values.podLabels }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- if or .Values.owner .Values.resumeFrom .Values.podAnnotations }}
    annotations:
      {{- with include "trainpoint-lib.annotations" .Values }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with .Values.podAnnotations }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- end }}
  spec:
    {{- include "trainpoint-lib.inject" (include "training-job.podSpec" . | fromYaml) | nindent 4 }}
{{- end -}}

{{- define "training-job.podSpec" -}}
restartPolicy: {{ .Values.restartPolicy }}
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds | int64 }}
serviceAccountName: {{ .Values.serviceAccountName | quote }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- if or .Values.tolerations (not (kindIs "invalid" .Values.lostNodeSeconds)) }}
tolerations:
  {{- if not (kindIs "invalid" .Values.lostNodeSeconds) }}
  {{- range list "unreachable" "not-ready" }}
  - key: node.kubernetes.io/{{ . }}
    operator: Exists
    effect: NoExecute
    tolerationSeconds: {{ $.Values.lostNodeSeconds | int64 }}
  {{- end }}
  {{- end }}
  {{- with .Values.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
containers:
  - name: main
    image: {{ required "image: say which image to run: --set image=registry.example/llm:3" .Values.image | quote }}
    {{- with .Values.imagePullPolicy }}
    imagePullPolicy: {{ . }}
    {{- end }}
    {{- with .Values.command }}
    command:
      {{- range . }}
      - {{ include "training-job.text" . | quote }}
      {{- end }}
    {{- end }}
    {{- with .Values.args }}
    args:
      {{- range . }}
      - {{ include "training-job.text" . | quote }}
      {{- end }}
    {{- end }}
    {{- with .Values.workingDir }}
    workingDir: {{ . | quote }}
    {{- end }}
    {{- if or .Values.env .Values.extraEnv }}
    env:
      {{- range $name, $value := .Values.env }}
      - name: {{ $name | quote }}
        value: {{ include "training-job.text" $value | quote }}
      {{- end }}
      {{- with .Values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- end }}
    {{- with .Values.envFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.resources }}
    resources:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.securityContext }}
    securityContext:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    volumeMounts:
      - name: tmp
        mountPath: /tmp
      {{- with .Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- if include "training-job.inPlace" . }}
    {{- include "trainpoint-lib.restartInPlace" .Values.retry | nindent 4 }}
    {{- end }}
{{- end -}}

{{- /* A value as text: 1000000 stays 1000000, and does not become 1e+06. */ -}}
{{- define "training-job.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}
