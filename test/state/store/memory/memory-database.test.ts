import { memoryDatabase } from '../../../../state/store/memory/memory-database.ts'
import { databaseSuite } from '../../../conformance/database.suite.ts'

databaseSuite(async () => memoryDatabase())
