# The packages, without what only `npm run dev` and the tests need. That is mostly what is optional, and so is
# the compiled part of argon2, which is not: it is taken from a whole install.
FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
COPY sdk/package.json sdk/
RUN npm ci --omit=dev --ignore-scripts \
  && mv node_modules/@node-rs /tmp/compiled \
  && npm ci --omit=dev --omit=optional --ignore-scripts \
  && cp -R /tmp/compiled/. node_modules/@node-rs/ \
  && node -e "require('@node-rs/argon2').hashSync('does it load?')"

FROM node:24-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=4000
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json LICENSE ./
# The migrations are applied at start; the entry imports the seeds, which never run in production.
COPY prisma prisma
COPY src src
USER node
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "src/main.ts"]
