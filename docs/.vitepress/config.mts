import { defineConfig } from 'vitepress'

// One list a section, so that both languages have the same pages; `make docs` fails on a dead link.
const pages = [
  { dir: 'guide', en: 'Guide', zh: '指南', items: [
    ['getting-started', 'Getting started', '快速开始'],
    ['concepts', 'Concepts', '基本概念'],
    ['connect', 'Connect clients', '连接客户端'],
    ['access', 'Ways in', '接入方式'],
    ['users', 'Kafka users', 'Kafka 用户'],
    ['acls', 'Rights and access rules', '权限与访问规则'],
    ['topics', 'Topics', '主题'],
    ['partitions', 'Partitions', '分区'],
    ['groups', 'Consumer groups', '消费组'],
    ['connections', 'Connections', '客户端连接'],
    ['bandwidth', 'Bandwidth', '带宽'],
    ['quotas', 'Quotas of clients', '客户端配额'],
    ['capacity', 'Capacity', '容量'],
    ['certificates', 'Certificates', '证书'],
    ['metrics', 'Metrics', '监控指标'],
    ['operate', 'Run it', '运维'],
    ['from-other-clouds', 'From other clouds', '从其他云迁来'],
  ] },
  { dir: 'reference', en: 'Reference', zh: '参考', items: [
    ['api-conventions', 'API conventions', 'API 约定'],
    ['configuration', 'Configuration', '配置项'],
    ['cli', 'Command line', '命令行'],
    ['errors', 'Problem codes', '问题代码'],
    ['features', 'What works', '功能现状'],
  ] },
  { dir: 'develop', en: 'Develop', zh: '开发', items: [
    ['architecture', 'Architecture', '架构'],
    ['add-an-endpoint', 'Add an endpoint', '新增接口'],
    ['add-a-job', 'Add a job', '新增任务'],
    ['add-a-setting', 'Add a setting', '新增配置项'],
    ['add-a-filter', 'Add a gateway filter', '新增网关过滤器'],
    ['benchmarks', 'Benchmarks', '性能基准'],
    ['reliability', 'Reliability tests', '可靠性测试'],
  ] },
] as const

const prefix = { en: '', zh: '/zh' }

const sidebar = (language: 'en' | 'zh') => [
  ...pages.map((section) => ({
    text: section[language],
    items: section.items.map(([page, en, zh]) => ({
      text: language === 'en' ? en : zh,
      link: `${prefix[language]}/${section.dir}/${page}`,
    })),
  })),
  // Decisions are written once, in English.
  language === 'en'
    ? { text: 'Decisions', items: [{ text: 'All decisions', link: '/adr/' }] }
    : { text: '决策记录', items: [{ text: '全部决策（英文）', link: '/adr/' }] },
]

const nav = (language: 'en' | 'zh') =>
  pages.map((section) => ({
    text: section[language],
    link: `${prefix[language]}/${section.dir}/${section.items[0][0]}`,
    activeMatch: `^${prefix[language]}/${section.dir}/`,
  }))

export default defineConfig({
  title: 'Sluice',
  description: 'A managed multi-tenant Apache Kafka cloud',
  cleanUrls: true,
  ignoreDeadLinks: [/^https?:\/\/(localhost|127\.)/],
  locales: {
    root: { label: 'English', lang: 'en', themeConfig: { nav: nav('en'), sidebar: sidebar('en') } },
    zh: { label: '简体中文', lang: 'zh-CN', link: '/zh/', description: '多租户托管 Apache Kafka 云服务', themeConfig: {
      nav: nav('zh'),
      sidebar: sidebar('zh'),
      outline: { label: '本页内容' },
      docFooter: { prev: '上一页', next: '下一页' },
      darkModeSwitchLabel: '外观',
      returnToTopLabel: '回到顶部',
      langMenuLabel: '语言',
      sidebarMenuLabel: '目录',
      lightModeSwitchTitle: '切换到浅色',
      darkModeSwitchTitle: '切换到深色',
      skipToContentLabel: '跳到正文',
      notFound: { title: '没有这个页面', quote: '链接可能已经变动，请从首页查找。', linkText: '回到首页', linkLabel: '回到首页' },
    } },
  },
  themeConfig: {
    search: { provider: 'local', options: { locales: { zh: { translations: {
      button: { buttonText: '搜索', buttonAriaLabel: '搜索' },
      modal: { noResultsText: '没有结果', resetButtonTitle: '清除', footer: { selectText: '选择', navigateText: '切换', closeText: '关闭' } },
    } } },
    // Chinese has no spaces: words are told apart by the browser's own segmenter.
    miniSearch: { options: { tokenize: (text: string) =>
      Array.from(new Intl.Segmenter('zh', { granularity: 'word' }).segment(text), (part) => part.segment.trim()).filter(Boolean) } },
    } },
  },
})
